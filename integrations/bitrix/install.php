<?php
// php install.php [--dry-run] [--rollback]: one block into the shop's init.php, or out of it again.

if (PHP_SAPI !== 'cli') {
    die();
}
require_once __DIR__ . '/src/Config.php';
require_once __DIR__ . '/src/Installer.php';

try {
    $installer = new \SyncAssets\Shop\Installer(\SyncAssets\Shop\Config::load(), in_array('--dry-run', $argv, true));
    $done = in_array('--rollback', $argv, true) ? $installer->rollback() : $installer->install();
    echo implode("\n", $done), "\n";
} catch (\RuntimeException $e) {
    fwrite(STDERR, $e->getMessage() . "\n");
    exit(1);
}
