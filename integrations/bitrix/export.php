<?php
// php export.php users|products [--size=200] [--restart]: everybody, or all goods, page by page. What was sent stays
// sent: a run that fails (exit 1) or is killed goes on where it stopped.

/** @var \SyncAssets\Shop\Config $config */
$config = require __DIR__ . '/prolog.php';

use SyncAssets\Shop\Outbox;
use SyncAssets\Shop\Records;
use SyncAssets\Shop\Sender;

$kinds = ['users' => 'user', 'products' => 'product'];
$kind = $kinds[$argv[1] ?? ''] ?? null;
if ($kind === null) {
    fwrite(STDERR, "php export.php users|products [--size=200] [--restart]\n");
    exit(2);
}
$size = 200;
foreach ($argv as $option) {
    if (preg_match('/^--size=([1-9]\d{0,3})$/', $option, $match)) {
        $size = (int) $match[1];
    }
}
$place = $config->file("export.$argv[1]");
if (in_array('--restart', $argv, true) && is_file($place)) {
    unlink($place);
}
$after = is_file($place) ? (int) file_get_contents($place) : 0;
$records = new Records($config);
$sender = new Sender($config);
$sent = 0;
while ($rows = $records->page($kind, $after, $size)) {
    $events = [];
    foreach ($rows as $row) {
        $events[] = Outbox::event($kind, 'update', $row);
    }
    if (!$sender->send($events)) {
        fwrite(STDERR, "$sent sent up to id $after, then: {$sender->problem}; run it again to go on\n");
        exit(1);
    }
    $sent += count($events);
    $after = max(array_keys($rows));
    file_put_contents("$place.new", (string) $after);
    rename("$place.new", $place);
}
if (is_file($place)) {
    unlink($place);
}
echo "$sent {$argv[1]} sent\n";
