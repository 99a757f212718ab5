<?php
// The few classes of 1C-Bitrix that our handlers call, over a shop that lies in a JSON file. Its tables answer more than
// they are asked for, as CUser::GetList does.

namespace Bitrix\Main {
    final class Loader
    {
        public static function includeModule(string $module): bool
        {
            return true;
        }
    }

    final class Event
    {
        private $parameters;

        public function __construct(array $parameters)
        {
            $this->parameters = $parameters;
        }

        public function getParameter($name)
        {
            return $this->parameters[$name] ?? null;
        }
    }

    final class EventManager
    {
        private static $instance;
        private $handlers = [];

        public static function getInstance(): self
        {
            return self::$instance = self::$instance ?? new self();
        }

        public function addEventHandler($module, $event, $handler): void
        {
            $this->handlers["$module:$event"][] = [$handler, 2];
        }

        public function addEventHandlerCompatible($module, $event, $handler): void
        {
            $this->handlers["$module:$event"][] = [$handler, 1];
        }

        /** Events of the new core bring one Event, those of the old one what they bring. */
        public function fire(string $module, string $event, $brings): void
        {
            foreach ($this->handlers["$module:$event"] ?? [] as [$handler, $version]) {
                $version === 2 ? $handler(new Event($brings)) : $handler($brings);
            }
        }
    }

    class UserTable
    {
        public static function getList(array $what): Rows
        {
            return Rows::of('users', $what);
        }
    }

    final class Rows
    {
        private $rows;

        public function __construct(array $rows)
        {
            $this->rows = $rows;
        }

        public static function of(string $table, array $what): self
        {
            $rows = array_filter(self::shop()[$table] ?? [], static function (array $row) use ($what): bool {
                foreach ($what['filter'] ?? [] as $name => $wanted) {
                    $value = (int) $row[substr($name, 1)];
                    if ($name[0] === '@' ? !in_array($value, $wanted, true) : $value <= $wanted) {
                        return false;
                    }
                }
                return true;
            });
            foreach ($what['select'] as $alias => $name) {
                if (is_string($alias)) {
                    foreach ($rows as $n => $row) {
                        $rows[$n][$alias] = $row[$name] ?? null;
                    }
                }
            }
            usort($rows, static function (array $a, array $b): int {
                return (int) $a['ID'] <=> (int) $b['ID'];
            });
            return new self(isset($what['limit']) ? array_slice($rows, 0, $what['limit']) : $rows);
        }

        public static function shop(): array
        {
            return json_decode(file_get_contents(getenv('SHOP')), true);
        }

        public function fetch()
        {
            $row = array_shift($this->rows);
            foreach ($row ?? [] as $name => $value) {
                if (is_string($value) && preg_match('/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/', $value)) {
                    $row[$name] = new Type\DateTime($value, new \DateTimeZone('Asia/Almaty'));
                }
            }
            return $row ?? false;
        }
    }
}

namespace Bitrix\Main\Type {
    class Date
    {
        private $moment;

        public function __construct(string $text, ?\DateTimeZone $zone = null)
        {
            $this->moment = new \DateTime($text, $zone);
        }

        public function format(string $format): string
        {
            return $this->moment->format($format);
        }
    }

    final class DateTime extends Date
    {
    }
}

namespace Bitrix\Sale {
    use Bitrix\Main\Rows;

    final class Order
    {
        private $id;

        public function __construct(int $id)
        {
            $this->id = $id;
        }

        public function getId(): int
        {
            return $this->id;
        }

        public static function getList(array $what): Rows
        {
            return Rows::of('orders', $what);
        }
    }
}

namespace Bitrix\Iblock {
    use Bitrix\Main\Rows;

    final class ElementTable
    {
        public static function getList(array $what): Rows
        {
            return Rows::of('elements', $what);
        }
    }
}

namespace Bitrix\Catalog {
    use Bitrix\Main\Rows;

    final class ProductTable
    {
        public static function getList(array $what): Rows
        {
            return Rows::of('goods', $what);
        }
    }

    final class PriceTable
    {
        public static function getList(array $what): Rows
        {
            return Rows::of('prices', $what);
        }
    }
}

namespace {
    use Bitrix\Main\EventManager;
    use Bitrix\Main\Rows;

    final class CIBlockElement
    {
        public static function GetProperty($iblock, $element, $by, $order, $filter)
        {
            return new class (Rows::shop()['properties'][$element] ?? []) {
                private $rows;

                public function __construct(array $rows)
                {
                    $this->rows = $rows;
                }

                public function Fetch()
                {
                    return array_shift($this->rows) ?? false;
                }
            };
        }
    }

    foreach (['/local/php_interface/init.php', '/bitrix/php_interface/init.php'] as $init) {
        if (is_file($_SERVER['DOCUMENT_ROOT'] . $init)) {
            require_once $_SERVER['DOCUMENT_ROOT'] . $init;
            break;
        }
    }

    // A page of the shop on which these things happen.
    foreach (json_decode(getenv('HIT') ?: '[]', true) as [$module, $event, $brings]) {
        if (is_array($brings) && isset($brings['ENTITY'])) {
            $brings['ENTITY'] = new Bitrix\Sale\Order($brings['ENTITY']);
        }
        EventManager::getInstance()->fire($module, $event, $brings);
    }
}
