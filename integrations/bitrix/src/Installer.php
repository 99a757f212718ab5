<?php

namespace SyncAssets\Shop;

/**
 * Puts one marked block into init.php and takes it out again.
 *
 * What is written is checked by PHP before it replaces the file, in one step. Taking it out gives back the very bytes
 * from before where nobody has edited the file since, and else removes the block alone.
 */
final class Installer
{
    private const BEGIN = '// >>> sync_assets';
    private const END = '// <<< sync_assets';

    /** @var Config */
    private $config;
    /** @var bool */
    private $dry;

    public function __construct(Config $config, bool $dry)
    {
        $this->config = $config;
        $this->dry = $dry;
        if (!is_dir($config->root . '/bitrix/modules/main')) {
            throw new \RuntimeException("config.php: 'root' is not the folder of the site");
        }
        $root = realpath($config->root) . '/';
        foreach (['this package' => dirname(__DIR__), "'folder'" => $config->folder] as $what => $place) {
            if (strpos(realpath($place) . '/', $root) === 0) {
                throw new \RuntimeException("$what lies inside the web root: move it out of there");
            }
        }
    }

    /** @return string[] what was done */
    public function install(): array
    {
        $file = $this->init();
        $before = is_file($file) ? (string) file_get_contents($file) : '';
        if (strpos($before, self::BEGIN) !== false) {
            return ["$file has it already"];
        }
        $after = $this->with($before);
        if ($this->dry) {
            return ["would keep a copy of $file", "would add to it:", $this->block()];
        }
        $copy = $this->config->file('init.php.' . date('Ymd-His') . '.' . substr(hash('sha256', $before), 0, 8));
        $this->put($copy, $before);
        $known = ['file' => $file, 'copy' => $copy, 'existed' => is_file($file), 'after' => hash('sha256', $after)];
        $this->checked($file, $after);
        $this->put($this->config->file('install.json'), (string) json_encode($known));
        return ["copy of $file: $copy", "$file loads " . dirname(__DIR__) . '/include.php'];
    }

    /** @return string[] what was done */
    public function rollback(): array
    {
        $state = $this->config->file('install.json');
        $known = is_file($state) ? json_decode((string) file_get_contents($state), true) : null;
        $file = is_array($known) ? (string) $known['file'] : $this->init();
        if (!is_file($file)) {
            return ["there is no $file"];
        }
        $now = (string) file_get_contents($file);
        $untouched = is_array($known) && hash('sha256', $now) === $known['after'] && is_file((string) $known['copy']);
        if ($untouched && !$known['existed']) {
            $said = "$file removed: it was not there before";
            $before = null;
        } elseif ($untouched) {
            $said = "$file is what it was, from $known[copy]";
            $before = (string) file_get_contents((string) $known['copy']);
        } else {
            [$begin, $end] = [preg_quote(self::BEGIN, '/'), preg_quote(self::END, '/')];
            $pattern = "/(<\\?php )?$begin.*?{$end}[^\n]*\n?/s";
            $before = (string) preg_replace($pattern, '', $now);
            if ($before === $now) {
                return ["$file does not load it"];
            }
            $said = "$file was edited since: only our lines were taken out";
        }
        if ($this->dry) {
            return ["would do: $said"];
        }
        if ($before === null) {
            unlink($file);
        } else {
            $this->checked($file, $before);
        }
        if (is_file($state)) {
            unlink($state);
        }
        return [$said];
    }

    private function init(): string
    {
        // Bitrix loads the first of these that is there.
        foreach (['/local/php_interface/init.php', '/bitrix/php_interface/init.php'] as $path) {
            if (is_file($this->config->root . $path)) {
                return $this->config->root . $path;
            }
        }
        return $this->config->root . '/local/php_interface/init.php';
    }

    private function block(): string
    {
        $include = var_export(dirname(__DIR__) . '/include.php', true);
        return self::BEGIN . "\nif (is_file($include)) {\n    require_once $include;\n}\n" . self::END . "\n";
    }

    private function with(string $before): string
    {
        if (trim($before) === '') {
            return "<?php\n" . $this->block();
        }
        // A file may end within PHP, or with its closing tag and what follows that.
        $inside = false;
        foreach (token_get_all($before) as $token) {
            $kind = is_array($token) ? $token[0] : 0;
            $inside = $kind !== T_CLOSE_TAG && ($inside || in_array($kind, [T_OPEN_TAG, T_OPEN_TAG_WITH_ECHO], true));
        }
        if ($inside) {
            return rtrim($before) . "\n" . $this->block();
        }
        // Without a line of its own nothing is shown that was not shown before.
        return $before . '<?php ' . $this->block();
    }

    private function checked(string $file, string $content): void
    {
        if (!is_dir(dirname($file)) && !mkdir(dirname($file), 0755, true)) {
            throw new \RuntimeException(dirname($file) . ' cannot be made');
        }
        $new = $this->config->file('init.new.php');
        $this->put($new, $content);
        exec(escapeshellarg(PHP_BINARY) . ' -n -l ' . escapeshellarg($new) . ' 2>&1', $said, $status);
        if ($status !== 0 && $content !== '') {
            unlink($new);
            throw new \RuntimeException("$file would not be PHP any more; nothing was changed");
        }
        $beside = $file . '.' . getmypid() . '.php';
        $this->put($beside, $content);
        if (is_file($file)) {
            chmod($beside, fileperms($file) & 0777);
            @chown($beside, (int) fileowner($file));
            @chgrp($beside, (int) filegroup($file));
        } else {
            chmod($beside, 0644);
        }
        unlink($new);
        if (!rename($beside, $file)) {
            throw new \RuntimeException("$file cannot be written");
        }
    }

    private function put(string $file, string $content): void
    {
        if (file_put_contents($file, $content) !== strlen($content)) {
            throw new \RuntimeException("$file cannot be written");
        }
    }
}
