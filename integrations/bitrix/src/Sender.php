<?php

namespace SyncAssets\Shop;

/** Signs and posts events; tries again where that may help, for no longer than the deadline. */
final class Sender
{
    private const TRIES = 4;
    private const LONGEST_ANSWER = 65536;
    private const TOO_LARGE = 413;

    /** @var Config */
    private $config;
    /** @var string why the last post failed; never anything of what was posted */
    public $problem = '';

    public function __construct(Config $config)
    {
        $this->config = $config;
    }

    /**
     * Whether the receiver has them: an answer 2xx that says so. What is too large at once goes in halves.
     *
     * @param array<int, array<string, mixed>> $events
     */
    public function send(array $events): bool
    {
        $status = $this->attempt($events);
        if ($status === self::TOO_LARGE && count($events) > 1) {
            $halves = array_chunk($events, (int) ceil(count($events) / 2));
            return $this->send($halves[0]) && $this->send($halves[1]);
        }
        return $status === 200;
    }

    /**
     * The last status that posting them gave.
     *
     * @param array<int, array<string, mixed>> $events
     */
    private function attempt(array $events): int
    {
        $flags = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE;
        $body = json_encode(count($events) === 1 ? $events[0] : ['events' => $events], $flags);
        if ($body === false) {
            $this->problem = 'a record cannot be written as JSON: ' . json_last_error_msg();
            return 0;
        }
        $until = microtime(true) + $this->config->deadline;
        for ($try = 1; ; $try++) {
            $status = $this->post($body, $until);
            $hopeless = $status >= 400 && $status < 500 && $status !== 408 && $status !== 429;
            $pause = $this->config->pause * 2 ** ($try - 1);
            if ($status === 200 || $hopeless || $try === self::TRIES || microtime(true) + $pause >= $until) {
                return $status;
            }
            usleep((int) ($pause * 1e6));
        }
    }

    /** 200 where the receiver took it, else its status, 0 where it did not answer. */
    private function post(string $body, float $until): int
    {
        $at = (string) time();
        $signature = hash_hmac('sha256', $at . '.' . $body, $this->config->secret);
        $left = max(0.5, min($this->config->timeout, $until - microtime(true)));
        $context = stream_context_create([
            'http' => [
                'method' => 'POST',
                'header' => [
                    'Content-Type: application/json',
                    'Connection: close',
                    'X-Sync-Timestamp: ' . $at,
                    'X-Sync-Signature: sha256=' . $signature,
                ],
                'content' => $body,
                'timeout' => $left,
                'ignore_errors' => true,
                'follow_location' => 0,
                'user_agent' => 'sync-assets-shop/1',
            ],
            'ssl' => ['verify_peer' => true, 'verify_peer_name' => true],
        ]);
        $stream = @fopen($this->config->url, 'rb', false, $context);
        if ($stream === false) {
            $this->problem = 'the receiver does not answer';
            return 0;
        }
        $answer = $this->answer($stream, microtime(true) + $left);
        $headers = stream_get_meta_data($stream)['wrapper_data'] ?? [];
        fclose($stream);
        $status = preg_match('#^HTTP/\S+ (\d{3})#', (string) ($headers[0] ?? ''), $match) ? (int) $match[1] : 0;
        $said = json_decode($answer, true);
        if ($status >= 200 && $status < 300) {
            $taken = is_array($said) && ($said['status'] ?? '') === 'success';
            $this->problem = $taken ? '' : 'what answers is no receiver of ours';
            return $taken ? 200 : 0;
        }
        $this->problem = "the receiver answers $status";
        return $status;
    }

    /** @param resource $stream */
    private function answer($stream, float $until): string
    {
        $answer = '';
        while (!feof($stream) && strlen($answer) < self::LONGEST_ANSWER && microtime(true) < $until) {
            $part = fread($stream, 8192);
            if ($part === false || $part === '') {
                break;
            }
            $answer .= $part;
        }
        return $answer;
    }
}
