<?php

namespace SyncAssets\Shop;

/**
 * What changed in this hit, each record once, sent when the visitor has the page.
 *
 * Where the page cannot be handed over first (no FastCGI), or the receiver was just found silent, it goes to the queue:
 * no visitor ever waits for us.
 */
final class Outbox
{
    private const SILENT = 60;
    private const AT_ONCE = 50;
    private const MOST = 500;

    /** @var array<string, string> event by "kind id" */
    private static $changed = [];
    /** @var bool */
    private static $armed = false;

    public static function note(string $kind, int $id, string $event): void
    {
        if ($id <= 0) {
            return;
        }
        $record = "$kind $id";
        // That it is new, or that its status moved, says more than that it was saved.
        if ($event !== 'update' || !isset(self::$changed[$record])) {
            self::$changed[$record] = $event;
        }
        if (!self::$armed) {
            self::$armed = true;
            // Twice, to come after whatever else waits for the end of the hit.
            register_shutdown_function(function (): void {
                register_shutdown_function([self::class, 'flush']);
            });
        }
        if (count(self::$changed) >= self::MOST) {
            // An import: cron sends it piece by piece.
            (new Queue(Config::load()))->add(self::$changed);
            self::$changed = [];
        }
    }

    public static function flush(): void
    {
        $changed = self::$changed;
        self::$changed = [];
        self::$armed = false;
        try {
            $config = Config::load();
            $some = self::handedOver() && !self::silent($config) ? array_slice($changed, 0, self::AT_ONCE, true) : [];
            $waiting = array_diff_key($changed, $some);
            (new Queue($config))->add($waiting);
            if ($some && !self::sent($config, $some)) {
                (new Queue($config))->add($some);
            }
        } catch (\Throwable $e) {
            self::complain(get_class($e) . ' in ' . basename($e->getFile()) . ':' . $e->getLine());
        }
    }

    /**
     * Posts the current state of these records.
     *
     * @param array<string, string> $entries event by "kind id"
     */
    public static function send(Config $config, array $entries): bool
    {
        $sender = new Sender($config);
        $sent = $sender->send(self::events($config, $entries));
        $down = $config->file('receiver.down');
        if ($sent) {
            @unlink($down);
        } else {
            touch($down);
            self::complain($sender->problem);
        }
        return $sent;
    }

    /**
     * @param array<string, string> $entries event by "kind id"
     * @return array<int, array<string, mixed>>
     */
    public static function events(Config $config, array $entries): array
    {
        $records = new Records($config);
        $wanted = [];
        foreach ($entries as $record => $event) {
            [$kind, $id] = explode(' ', $record);
            $wanted[$kind][(int) $id] = $event;
        }
        $events = [];
        foreach ($wanted as $kind => $ids) {
            $rows = $records->read($kind, array_keys($ids));
            foreach ($ids as $id => $event) {
                $there = isset($rows[$id]);
                $event = $there ? ($event === 'delete' ? 'update' : $event) : 'delete';
                $events[] = self::event($kind, $event, $there ? $rows[$id] : ['ID' => $id]);
            }
        }
        return $events;
    }

    /**
     * @param array<string, mixed> $data
     * @return array<string, mixed>
     */
    public static function event(string $kind, string $event, array $data): array
    {
        $data['webhook_timestamp'] = sprintf('%.6F', microtime(true));
        $data['webhook_source'] = 'integrations/bitrix';
        return ['event' => "$kind.$event", 'data' => $data];
    }

    public static function complain(string $what): void
    {
        error_log("sync_assets: $what; what was not sent waits in the queue");
    }

    /**
     * `send`, false also where a record cannot be read.
     *
     * @param array<string, string> $entries event by "kind id"
     */
    public static function sent(Config $config, array $entries): bool
    {
        try {
            return self::send($config, $entries);
        } catch (\Throwable $e) {
            self::complain(get_class($e) . ' in ' . basename($e->getFile()) . ':' . $e->getLine());
            return false;
        }
    }

    /** Whether nobody waits for this process any more. */
    private static function handedOver(): bool
    {
        if (PHP_SAPI === 'cli') {
            return true;
        }
        if (!function_exists('fastcgi_finish_request')) {
            return false;
        }
        // The visitor's next page waits for the session, not only for this one.
        if (session_status() === PHP_SESSION_ACTIVE) {
            session_write_close();
        }
        ignore_user_abort(true);
        return fastcgi_finish_request();
    }

    private static function silent(Config $config): bool
    {
        clearstatcache();
        $since = @filemtime($config->file('receiver.down'));
        return $since !== false && time() - $since < self::SILENT;
    }
}
