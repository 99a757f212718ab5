<?php
// The shop's kernel for a script of the command line. Answers the settings.

if (PHP_SAPI !== 'cli') {
    die();
}
require_once __DIR__ . '/include.php';

try {
    $config = \SyncAssets\Shop\Config::load();
    $prolog = $config->root . '/bitrix/modules/main/include/prolog_before.php';
    if (!is_file($prolog)) {
        throw new \RuntimeException("config.php: 'root' is not the folder of the site");
    }
} catch (\RuntimeException $e) {
    fwrite(STDERR, $e->getMessage() . "\n");
    exit(2);
}
$_SERVER['DOCUMENT_ROOT'] = $config->root;
define('NO_KEEP_STATISTIC', true);
define('NOT_CHECK_PERMISSIONS', true);
define('BX_NO_ACCELERATOR_RESET', true);
require_once $prolog;
@set_time_limit(0);

$lock = fopen($config->file(basename($_SERVER['argv'][0]) . '.lock'), 'c');
if ($lock === false || !flock($lock, LOCK_EX | LOCK_NB)) {
    fwrite(STDERR, "it is running already\n");
    exit(0);
}

return $config;
