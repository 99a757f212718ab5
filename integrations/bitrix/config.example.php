<?php
// Copy to config.php beside this file and fill in. It is read by PHP only; keep the folder outside the web root.
if (PHP_SAPI !== 'cli' && !defined('B_PROLOG_INCLUDED')) {
    die();
}

return [
    // The receiver's address for the shop, https://RECEIVER/webhooks/ACCOUNT/shop
    'url' => 'https://hooks.example.com/webhooks/bitrix/shop',
    // The same as BITRIX_SHOP_SECRET there: php -r 'echo bin2hex(random_bytes(32)), "\n";'
    'secret' => '',
    // The folder of the site, with bitrix/ in it.
    'root' => '/home/bitrix/www',
    // Information blocks with goods and their offers; what changes in others is nobody's business.
    'iblocks' => [2, 27],
    // Where the queue, the export's place and the installer's backups are kept; never inside the web root.
    'folder' => __DIR__ . '/var',
    // Seconds to wait for an answer, for all tries of one post together, and between the first two of them.
    'timeout' => 5,
    'deadline' => 15,
    'pause' => 1,
];
