<?php
// Loaded by the shop's init.php: classes on demand, and the shop's events.

spl_autoload_register(static function (string $class): void {
    if (strpos($class, 'SyncAssets\\Shop\\') === 0) {
        require __DIR__ . '/src/' . substr($class, strlen('SyncAssets\\Shop\\')) . '.php';
    }
});

if (class_exists(\Bitrix\Main\EventManager::class)) {
    \SyncAssets\Shop\Handlers::register();
}
