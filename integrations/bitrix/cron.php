<?php
// Every minute: sends the current state of what could not be sent when it changed. Exits with 1 while something waits.

/** @var \SyncAssets\Shop\Config $config */
$config = require __DIR__ . '/prolog.php';

use SyncAssets\Shop\Outbox;
use SyncAssets\Shop\Queue;

$sent = 0;
$waiting = (new Queue($config))->drain(static function (array $entries) use ($config, &$sent): bool {
    $done = Outbox::sent($config, $entries);
    $sent += $done ? count($entries) : 0;
    return $done;
});
if ($sent || $waiting) {
    echo "$sent sent, $waiting waiting\n";
}
exit($waiting ? 1 : 0);
