<?php

namespace SyncAssets\Shop;

use Bitrix\Main\Event;
use Bitrix\Main\EventManager;

/** The shop's events: each only notes which record changed. None of them ever throws into the shop. */
final class Handlers
{
    public static function register(): void
    {
        $events = EventManager::getInstance();
        // Orders are of the new core and bring one Event; the others bring what they always brought.
        $events->addEventHandler('sale', 'OnSaleOrderSaved', [self::class, 'orderSaved']);
        $events->addEventHandler('sale', 'OnSaleStatusOrderChange', [self::class, 'orderStatusChanged']);
        $events->addEventHandler('sale', 'OnSaleOrderDeleted', [self::class, 'orderDeleted']);
        $events->addEventHandlerCompatible('iblock', 'OnAfterIBlockElementAdd', [self::class, 'elementAdded']);
        $events->addEventHandlerCompatible('iblock', 'OnAfterIBlockElementUpdate', [self::class, 'elementUpdated']);
        $events->addEventHandlerCompatible('iblock', 'OnAfterIBlockElementDelete', [self::class, 'elementDeleted']);
        $events->addEventHandlerCompatible('main', 'OnAfterUserAdd', [self::class, 'userSaved']);
        $events->addEventHandlerCompatible('main', 'OnAfterUserUpdate', [self::class, 'userSaved']);
        $events->addEventHandlerCompatible('main', 'OnAfterUserDelete', [self::class, 'userDeleted']);
    }

    public static function orderSaved(Event $event): void
    {
        self::order($event, $event->getParameter('IS_NEW') ? 'create' : 'update');
    }

    public static function orderStatusChanged(Event $event): void
    {
        self::order($event, 'status_change');
    }

    public static function orderDeleted(Event $event): void
    {
        if ($event->getParameter('VALUE') !== false) {
            self::order($event, 'delete');
        }
    }

    /** @param array<string, mixed> $fields */
    public static function elementAdded($fields): void
    {
        self::element($fields, 'create');
    }

    /** @param array<string, mixed> $fields */
    public static function elementUpdated($fields): void
    {
        self::element($fields, 'update');
    }

    /** @param array<string, mixed> $fields */
    public static function elementDeleted($fields): void
    {
        self::element($fields, 'delete');
    }

    /** @param array<string, mixed> $fields these hold the password as it was typed: only the id is looked at */
    public static function userSaved($fields): void
    {
        self::guarded(function () use ($fields): void {
            if (($fields['RESULT'] ?? true) !== false) {
                Outbox::note('user', (int) ($fields['ID'] ?? 0), 'update');
            }
        });
    }

    /** @param int|string $id */
    public static function userDeleted($id): void
    {
        self::guarded(function () use ($id): void {
            Outbox::note('user', (int) $id, 'delete');
        });
    }

    private static function order(Event $event, string $what): void
    {
        self::guarded(function () use ($event, $what): void {
            $order = $event->getParameter('ENTITY');
            if (is_object($order) && method_exists($order, 'getId')) {
                Outbox::note('order', (int) $order->getId(), $what);
            }
        });
    }

    /** @param array<string, mixed> $fields */
    private static function element($fields, string $what): void
    {
        self::guarded(function () use ($fields, $what): void {
            // What was refused is told to the same handlers; the ids of properties' iblocks are not goods.
            if (!is_array($fields) || ($fields['RESULT'] ?? true) === false) {
                return;
            }
            if (in_array((int) ($fields['IBLOCK_ID'] ?? 0), Config::load()->iblocks, true)) {
                Outbox::note('product', (int) ($fields['ID'] ?? 0), $what);
            }
        });
    }

    private static function guarded(callable $work): void
    {
        try {
            $work();
        } catch (\Throwable $e) {
            Outbox::complain(get_class($e) . ' in ' . basename($e->getFile()) . ':' . $e->getLine());
        }
    }
}
