<?php

namespace SyncAssets\Shop;

/** The settings of config.php, checked once; what is wrong is said with the name of the setting. */
final class Config
{
    /** @var string */
    public $url;
    /** @var string */
    public $secret;
    /** @var string */
    public $root;
    /** @var int[] */
    public $iblocks;
    /** @var string */
    public $folder;
    /** @var float */
    public $timeout;
    /** @var float */
    public $deadline;
    /** @var float */
    public $pause;

    /** @param array<string, mixed> $given */
    public function __construct(array $given)
    {
        $this->url = rtrim((string) ($given['url'] ?? ''), '/');
        $this->secret = (string) ($given['secret'] ?? '');
        $this->root = rtrim((string) ($given['root'] ?? ''), '/');
        $this->iblocks = array_map('intval', (array) ($given['iblocks'] ?? []));
        $this->folder = rtrim((string) ($given['folder'] ?? ''), '/');
        $this->timeout = (float) ($given['timeout'] ?? 5);
        $this->deadline = (float) ($given['deadline'] ?? 15);
        $this->pause = (float) ($given['pause'] ?? 1);
        $host = (string) parse_url($this->url, PHP_URL_HOST);
        $near = in_array($host, ['127.0.0.1', 'localhost'], true);
        if (strpos($this->url, 'https://') !== 0 && !($near && strpos($this->url, 'http://') === 0)) {
            throw new \RuntimeException("config.php: 'url' must begin with https://");
        }
        if (strlen($this->secret) < 32) {
            throw new \RuntimeException("config.php: 'secret' must have at least 32 characters");
        }
        if ($this->folder === '') {
            throw new \RuntimeException("config.php: 'folder' is missing");
        }
        if (!is_dir($this->folder) && !@mkdir($this->folder, 0700, true) && !is_dir($this->folder)) {
            throw new \RuntimeException("config.php: 'folder' cannot be made");
        }
    }

    public static function load(): self
    {
        $file = getenv('SYNC_ASSETS_CONFIG') ?: dirname(__DIR__) . '/config.php';
        if (!is_file($file)) {
            throw new \RuntimeException('config.php is missing: copy config.example.php and fill it in');
        }
        return new self((array) require $file);
    }

    public function file(string $name): string
    {
        return $this->folder . '/' . $name;
    }
}
