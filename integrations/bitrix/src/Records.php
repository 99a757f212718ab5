<?php

namespace SyncAssets\Shop;

use Bitrix\Catalog\PriceTable;
use Bitrix\Catalog\ProductTable;
use Bitrix\Iblock\ElementTable;
use Bitrix\Main\Loader;
use Bitrix\Main\Type\Date;
use Bitrix\Main\Type\DateTime;
use Bitrix\Main\UserTable;
use Bitrix\Sale\Order;

/**
 * The current state of orders, people and goods. Only what is named here is asked for, and only that leaves: a user's
 * row may hold the password's hash and the checkword.
 */
final class Records
{
    public const KINDS = ['order', 'product', 'user'];

    private const ORDER = [
        'ID', 'ACCOUNT_NUMBER', 'STATUS_ID', 'CANCELED', 'PAYED', 'DEDUCTED', 'PRICE', 'CURRENCY', 'USER_ID',
        'DATE_INSERT', 'DATE_UPDATE', 'DATE_STATUS', 'VERSION',
    ];
    private const USER = [
        'ID', 'XML_ID', 'ACTIVE', 'NAME', 'LAST_NAME', 'SECOND_NAME', 'EMAIL', 'DATE_REGISTER', 'TIME_ZONE',
        'PERSONAL_MOBILE', 'PERSONAL_PHONE', 'PERSONAL_CITY', 'WORK_PHONE', 'WORK_POSITION',
    ];
    private const ELEMENT = [
        'ID', 'IBLOCK_ID', 'IBLOCK_SECTION_ID', 'NAME', 'CODE', 'XML_ID', 'ACTIVE', 'SORT', 'TIMESTAMP_X',
        'DATE_CREATE', 'DATE_ACTIVE_FROM' => 'ACTIVE_FROM', 'DATE_ACTIVE_TO' => 'ACTIVE_TO', 'CREATED_BY',
        'MODIFIED_BY', 'PREVIEW_TEXT', 'PREVIEW_TEXT_TYPE', 'DETAIL_TEXT', 'DETAIL_TEXT_TYPE',
    ];
    private const GOODS = [
        'ID', 'TYPE', 'AVAILABLE', 'QUANTITY', 'QUANTITY_RESERVED', 'QUANTITY_TRACE', 'CAN_BUY_ZERO', 'SUBSCRIBE',
        'PURCHASING_PRICE', 'PURCHASING_CURRENCY', 'VAT_ID', 'VAT_INCLUDED', 'MEASURE', 'WEIGHT', 'WIDTH', 'LENGTH',
        'HEIGHT',
    ];

    private const PRICE = ['ID', 'PRODUCT_ID', 'CATALOG_GROUP_ID', 'PRICE', 'CURRENCY'];

    /** @var Config */
    private $config;
    /** @var bool */
    private $sells;

    public function __construct(Config $config)
    {
        $this->config = $config;
        Loader::includeModule('sale');
        Loader::includeModule('iblock');
        $this->sells = Loader::includeModule('catalog');
    }

    /**
     * Those of the ids that there are, by id.
     *
     * @param int[] $ids
     * @return array<int, array<string, mixed>>
     */
    public function read(string $kind, array $ids): array
    {
        return $ids ? $this->rows($kind, ['@ID' => array_values($ids)], 0) : [];
    }

    /** @return array<int, array<string, mixed>> the next records behind the id `$after`, by id */
    public function page(string $kind, int $after, int $size): array
    {
        return $this->rows($kind, ['>ID' => $after], $size);
    }

    /**
     * @param array<string, mixed> $filter
     * @return array<int, array<string, mixed>>
     */
    private function rows(string $kind, array $filter, int $limit): array
    {
        switch ($kind) {
            case 'order':
                $orders = $this->select([Order::class, 'getList'], self::ORDER, $filter, $limit);
                $users = $this->read('user', array_unique(array_map('intval', array_column($orders, 'USER_ID'))));
                foreach ($orders as $id => $order) {
                    $orders[$id]['user'] = $users[(int) $order['USER_ID']] ?? null;
                }
                return $orders;
            case 'user':
                return $this->select([UserTable::class, 'getList'], self::USER, $filter, $limit);
            case 'product':
                $iblocks = $this->config->iblocks;
                return $iblocks ? $this->products($filter + ['@IBLOCK_ID' => $iblocks], $limit) : [];
        }
        throw new \InvalidArgumentException("no records are called $kind");
    }

    /**
     * @param array<string, mixed> $filter
     * @return array<int, array<string, mixed>>
     */
    private function products(array $filter, int $limit): array
    {
        $found = $this->select([ElementTable::class, 'getList'], self::ELEMENT, $filter, $limit);
        if (!$found) {
            return [];
        }
        if ($this->sells) {
            $ids = array_keys($found);
            $goods = $this->select([ProductTable::class, 'getList'], self::GOODS, ['@ID' => $ids], 0);
            foreach ($goods as $id => $row) {
                $found[$id] += $row;
            }
            foreach ($this->select([PriceTable::class, 'getList'], self::PRICE, ['@PRODUCT_ID' => $ids], 0) as $price) {
                $found[(int) $price['PRODUCT_ID']]['PRICES'][] = $price;
            }
        }
        foreach ($found as $id => $element) {
            $iblock = (int) $element['IBLOCK_ID'];
            $properties = \CIBlockElement::GetProperty($iblock, $id, 'sort', 'asc', ['EMPTY' => 'N']);
            while ($row = $properties->Fetch()) {
                $found[$id]['PROPERTIES'] = self::withProperty($found[$id]['PROPERTIES'] ?? [], $row);
            }
        }
        return $found;
    }

    /**
     * @param array<string, mixed> $properties
     * @param array<string, mixed> $row one value of a property
     * @return array<string, mixed>
     */
    private static function withProperty(array $properties, array $row): array
    {
        $name = 'P' . $row['ID'];
        $value = self::plain($row['VALUE_ENUM'] ?? $row['VALUE'] ?? null);
        $number = self::plain($row['PROPERTY_VALUE_ID'] ?? null);
        if (($row['MULTIPLE'] ?? 'N') !== 'Y') {
            return [$name => ['ID' => $row['ID'], 'VALUE' => $value, 'PROPERTY_VALUE_ID' => $number]] + $properties;
        }
        $properties += [$name => ['ID' => $row['ID'], 'VALUE' => [], 'PROPERTY_VALUE_ID' => []]];
        $properties[$name]['VALUE'][] = $value;
        $properties[$name]['PROPERTY_VALUE_ID'][] = $number;
        return $properties;
    }

    /**
     * @param array<int|string, string> $names
     * @param array<string, mixed> $filter
     * @return array<int, array<string, mixed>>
     */
    private function select(callable $list, array $names, array $filter, int $limit): array
    {
        $what = ['select' => $names, 'filter' => $filter, 'order' => ['ID' => 'ASC']];
        $rows = $list($limit ? $what + ['limit' => $limit] : $what);
        $allowed = [];
        foreach ($names as $alias => $name) {
            $allowed[is_string($alias) ? $alias : $name] = true;
        }
        $found = [];
        while ($row = $rows->fetch()) {
            // Whatever more the shop's version answers: nothing that is not named leaves.
            $found[(int) $row['ID']] = array_map([self::class, 'plain'], array_intersect_key($row, $allowed));
        }
        return $found;
    }

    /**
     * A value that JSON has a word for; dates with their zone, texts in UTF-8.
     *
     * @param mixed $value
     * @return mixed
     */
    private static function plain($value)
    {
        if ($value instanceof DateTime) {
            return $value->format(\DATE_ATOM);
        }
        if ($value instanceof Date) {
            return $value->format('Y-m-d');
        }
        if (is_array($value)) {
            return array_map([self::class, 'plain'], $value);
        }
        if (is_object($value)) {
            return null;
        }
        $charset = defined('SITE_CHARSET') ? (string) constant('SITE_CHARSET') : 'UTF-8';
        if (is_string($value) && strcasecmp($charset, 'UTF-8') !== 0) {
            return (string) iconv($charset, 'UTF-8//TRANSLIT', $value);
        }
        return $value;
    }
}
