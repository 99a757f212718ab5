"""Kaiten's entities. Boards bring their columns and live lanes along; only cards can be filtered by time."""

from sync_assets.entity import ById, Each, Entity, Inside, Link, OffsetPages, Tells, Whole

DOCS = "https://developers.kaiten.ru"

SPACES = Entity(
    "spaces",
    read=Whole("/spaces", adds=("boards",)),
    one=ById("/spaces/{key}", adds=("boards",)),
    doc="The top of the tree; a space holds boards.",
    url=f"{DOCS}/spaces/get-list-of-spaces",
    hints=("space:update",),
)

USERS = Entity(
    "users",
    read=OffsetPages("/users", params={"include_inactive": "true"}),
    volatile=("last_request_date",),  # moves whenever the person does anything
    codes={"role": ("1", "2", "3")},
    doc="People, deactivated ones (role 3) too.",
    url=f"{DOCS}/users/retrieve-list-of-users",
)

CARD_TYPES = Entity(
    "card_types",
    read=OffsetPages("/card-types"),
    doc="Kinds of cards. Type 1, Card, belongs to no company.",
    url=f"{DOCS}/card-types/get-list-of-card-types",
)

TAGS = Entity(
    "tags",
    read=OffsetPages("/tags"),
    doc="The company's tags; which card bears which is in the view card_tags.",
    url=f"{DOCS}/tags/retrieve-list-of-tags",
    hints=("tag:update",),
)

PROPERTY_DEFINITIONS = Entity(
    "property_definitions",
    read=Whole("/company/custom-properties"),  # the whole list: it pages only where limit and offset are both sent
    one=ById("/company/custom-properties/{key}"),
    links=(Link("author_id", "users", order=False),),
    doc="Custom properties of cards; their values on cards are in the view card_properties.",
    url=f"{DOCS}/custom-properties/get-list-of-properties",
)

PROPERTY_VALUES = Entity(
    "property_values",
    read=Each(
        "property_definitions",
        Whole("/company/custom-properties/{key}/select-values"),
        where="type = 'select'",
        carry="custom_property_id",
    ),
    links=(Link("property_id", "property_definitions"),),
    doc="The options of select properties.",
    url=f"{DOCS}/custom-property-select-values/get-list-of-select-values",
)

BOARDS = Entity(
    "boards",
    read=Each("spaces", Whole("/spaces/{key}/boards"), carry="space_id"),
    # Seen live: the answer by id does not say where the board is.
    one=ById("/boards/{key}", adds=("cards",), omits=("space_id", "sort_order", "type", "top", "left")),
    links=(Link("space_id", "spaces"), Link("default_card_type_id", "card_types", order=False)),
    doc="Boards of a space. Kaiten has no archived boards.",
    url=f"{DOCS}/boards/get-list-of-boards",
    hints=("board:add", "board:update"),
)

COLUMNS = Entity(
    "columns",
    read=Inside("boards", ("$.columns[*]", "$.columns[*].subcolumns[*]"), record="item - 'subcolumns'"),
    links=(Link("board_id", "boards"), Link("column_id", "columns")),
    codes={"type": ("1", "2", "3")},
    doc="Columns and subcolumns; column_id is a subcolumn's parent.",
    url=f"{DOCS}/columns/get-list-of-columns",
)

LANES = Entity(
    "lanes",
    read=(
        Inside("boards", ("$.lanes[*]",)),
        # A board's answer holds its live lanes only.
        Each("boards", Whole("/boards/{key}/lanes"), variants=({"condition": 2}, {"condition": 3})),
    ),
    links=(Link("board_id", "boards"), Link("default_card_type_id", "card_types", order=False)),
    codes={"condition": ("1", "2", "3")},
    doc="Lanes: live (condition 1), archived (2) and deleted (3).",
    url=f"{DOCS}/lanes/get-list-of-lanes",
)

ONLY_BY_ID = (
    "checklists",
    "files",
    "blockers",
    "external_links",
    "slas",
    "iteration",
    "parents",
    "children",
    "blocked_by_card_ids",
    "blocks_card_ids",
    "relates_card_ids",
    "card_permissions",
    "email",
)
"""What a card shows only when it is read by id; the ids of children and parents are in every read."""

CARDS = Entity(
    "cards",
    read=OffsetPages(
        "/cards",
        params={"additional_card_fields": "description"},
        since="updated_after",  # inclusive
        order={"order_by": "id", "order_direction": "asc"},  # the order that edits do not change
    ),
    one=ById("/cards/{key}", adds=ONLY_BY_ID, omits=("sort_order",)),
    links=(
        Link("board_id", "boards"),
        Link("column_id", "columns"),
        Link("lane_id", "lanes"),
        Link("owner_id", "users", order=False),
        Link("type_id", "card_types", order=False),
    ),
    tells=Tells(stage=("column_id", "board_id"), responsible="owner_id", along=("updated",)),
    codes={"state": ("1", "2", "3"), "condition": ("1", "2")},
    doc="Cards, on the board and archived, with description; tags, members, children and properties are views.",
    url=f"{DOCS}/cards/retrieve-card-list",
    # A comment, a file or a time log is told of the card that it is on.
    hints=(
        "card:add", "card:update", "card_member:add", "card_member:remove", "card_member:update", "tag:add",
        "tag:remove", "block:add", "block:update", "comment:add", "comment:update", "comment:remove", "file:add",
        "file:update", "file:remove", "card_time_log:add", "card_time_log:update", "card_time_log:remove",
    ),
)  # fmt: skip

ENTITIES = (
    SPACES,
    USERS,
    CARD_TYPES,
    TAGS,
    PROPERTY_DEFINITIONS,
    PROPERTY_VALUES,
    BOARDS,
    COLUMNS,
    LANES,
    CARDS,
)
