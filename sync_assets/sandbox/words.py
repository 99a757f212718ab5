"""Words of a small building company, Russian and English mixed, as its real data would be."""

import random
import uuid

FIRST = ("Анна", "Иван", "Ольга", "Пётр", "Мария", "Olena", "John", "Дмитрий", "Zoë", "Сергей", "Ирина", "Mark")
LAST = ("Соколов", "Petrenko", "Кузнец", "O'Neill", "Волков", "Зайцев", "Smith", "Лебедь", "Núñez", "Орлов")
VERBS = ("Согласовать", "Проверить", "Fix", "Review", "Подготовить", "Выпустить", "Draft", "Закупить", "Измерить")
THINGS = (
    "смету", "фасад", "floor plan", "узел кровли", "договор №17", "HVAC scheme", "спецификацию", "«Корпус Б»",
    "ведомость 😀", "access log", "генплан", "отчёт", "invoice 1/2", "лестницу Л-3",
)  # fmt: skip
PLACES = ("Башня", "Корпус", "Паркинг", "School", "Склад", "Office", "Квартал", "Bridge")
TAGS = ("срочно", "backend", "заказчик", "RFI", "ждём", "q3", "дизайн", "legal", "риск", "as-built")
PROSE = (
    "Нужно уточнить у заказчика.", "See the attached drawing.", "**Важно**: до пятницы.",
    "No objections so far.", "Ответственный назначен.", "- шаг 1\n- шаг 2",
    'Кавычки "внутри" и \\ обратная черта.', "Цена 1 000,50 ₽.",
)  # fmt: skip


def title(rng: random.Random) -> str:
    return f"{rng.choice(VERBS)} {rng.choice(THINGS)} {rng.randrange(1000)}"


def prose(rng: random.Random, most: int = 6) -> str:
    return " ".join(rng.choices(PROSE, k=rng.randint(1, most)))


def uid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
