<?php

namespace SyncAssets\Shop;

/**
 * What could not be sent, as JSON lines of kind, id and event: never the record itself, which is read when it is sent.
 *
 * A drain moves the file aside; what it does not finish goes back, also after it was killed.
 */
final class Queue
{
    /** @var Config */
    private $config;

    public function __construct(Config $config)
    {
        $this->config = $config;
    }

    /** @param array<string, string> $entries event by "kind id" */
    public function add(array $entries): void
    {
        $lines = '';
        foreach ($entries as $record => $event) {
            [$kind, $id] = explode(' ', $record);
            $lines .= json_encode(['kind' => $kind, 'id' => (int) $id, 'event' => $event, 'at' => time()]) . "\n";
        }
        if ($lines === '') {
            return;
        }
        $this->locked(function () use ($lines): void {
            if (file_put_contents($this->config->file('queue.jsonl'), $lines, FILE_APPEND) !== strlen($lines)) {
                throw new \RuntimeException('the queue cannot be written');
            }
        });
    }

    /**
     * Hands every record that waits to `$work` once, 50 at a time, until it answers false.
     *
     * @param callable(array<string, string>): bool $work takes events by "kind id"
     * @return int how many still wait
     */
    public function drain(callable $work): int
    {
        $aside = $this->config->file('queue.sending.jsonl');
        $this->locked(function () use ($aside): void {
            $waiting = $this->config->file('queue.jsonl');
            if (!is_file($waiting)) {
                return;
            }
            $lines = (string) file_get_contents($waiting);
            // What a drain that was killed left stands before it.
            if (file_put_contents($aside, $lines, FILE_APPEND) !== strlen($lines)) {
                throw new \RuntimeException('the queue cannot be written');
            }
            unlink($waiting);
        });
        $entries = $this->entries($aside);
        foreach (array_chunk($entries, 50, true) as $some) {
            if (!$work($some)) {
                break;
            }
            $entries = array_diff_key($entries, $some);
        }
        $this->add($entries);
        if (is_file($aside)) {
            unlink($aside);
        }
        return count($entries);
    }

    /** @return array<string, string> the event by "kind id", of several of one record the last */
    public function entries(?string $file = null): array
    {
        $found = [];
        foreach (@file($file ?? $this->config->file('queue.jsonl')) ?: [] as $line) {
            $entry = json_decode($line, true);
            [$kind, $id] = is_array($entry) ? [$entry['kind'] ?? '', (int) ($entry['id'] ?? 0)] : ['', 0];
            if (in_array($kind, Records::KINDS, true) && $id > 0) {
                $found["$kind $id"] = (string) ($entry['event'] ?? 'update');
            }
        }
        return $found;
    }

    private function locked(callable $work): void
    {
        $lock = fopen($this->config->file('queue.lock'), 'c');
        if ($lock === false || !flock($lock, LOCK_EX)) {
            throw new \RuntimeException('the queue cannot be locked');
        }
        try {
            $work();
        } finally {
            flock($lock, LOCK_UN);
            fclose($lock);
        }
    }
}
