"""The portal's property definitions: HubSpot's own, the company's, and as many more as a wide portal has.

The non-obvious decision: a definition is a line of text here and an object of twenty keys on the wire, because only
name, type and field type differ in a way a client could trip over.
"""

from sync_assets.sandbox.dialect import Record
from sync_assets.sandbox.hubspot.names import DISPOSITIONS, KINDS

# name label type fieldType; a trailing ! marks calculated and read-only, ? hidden.
_OWN = {
    "contacts": """
        email Email string text
        firstname First_name string text
        lastname Last_name string text
        phone Phone_number string phonenumber
        mobilephone Mobile_phone string phonenumber
        lifecyclestage Lifecycle_stage enumeration select
        hubspot_owner_id Contact_owner enumeration select
        vsl_watched VSL_watched bool booleancheckbox
        vsl_watch_duration VSL_watch_duration number number
        hs_lead_status Lead_status enumeration radio
        createdate Create_date datetime date
        lastmodifieddate Last_modified datetime date
        hs_lastmodifieddate Object_last_modified datetime date !?
        hs_object_id Record_ID number number !
        hs_merged_object_ids Merged_record_IDs enumeration checkbox !
        hs_calculated_merged_vids Merged_vids string text !?
        hs_searchable_calculated_phone_number Calculated_phone phone_number phonenumber !?
        closedate Close_date datetime date
        date_of_birth Date_of_birth string text
        contract_until Contract_until date date
        interests Interests enumeration checkbox
        total_revenue Total_revenue number number !
        notes Notes string textarea
        city City string text
        country Country string text
    """,
    "deals": """
        amount Amount number number
        dealname Deal_name string text
        dealstage Deal_stage enumeration radio
        pipeline Pipeline enumeration select
        closedate Close_date datetime date
        hubspot_owner_id Deal_owner enumeration select
        qualified_status Qualified enumeration select
        trial_status Trial enumeration select
        payment_status Payment enumeration select
        deal_currency_code Currency enumeration select
        hs_open_deal_create_date Open_deal_create_date number number !
        hs_is_closed Is_closed bool booleancheckbox !
        createdate Create_date datetime date
        hs_lastmodifieddate Last_modified datetime date !
        hs_object_id Record_ID number number !
        hs_merged_object_ids Merged_record_IDs enumeration checkbox !
    """,
    "calls": """
        hs_timestamp Activity_date datetime date
        hs_call_title Call_title string text
        hs_call_body Call_notes string html
        hs_call_direction Call_direction enumeration select
        hs_call_disposition Call_outcome enumeration select
        hs_call_duration Call_duration number number
        hs_call_from_number From_number string text
        hs_call_to_number To_number string text
        hs_call_recording_url Recording string text
        hs_call_status Call_status enumeration select
        hs_call_source Call_source enumeration select
        hs_call_has_voicemail Has_voicemail enumeration select
        hs_call_callee_object_id Callee_object_id number number
        hs_call_callee_object_type Callee_object_type enumeration text
        hs_activity_type Activity_type enumeration select
        hs_attachment_ids Attached_files enumeration checkbox
        hs_obj_coords Object_coordinates object_coordinates text !?
        hubspot_owner_id Activity_owner enumeration select
        hs_createdate Create_date datetime date !
        hs_lastmodifieddate Last_modified datetime date !
        hs_object_id Record_ID number number !
        hs_merged_object_ids Merged_record_IDs enumeration checkbox !
    """,
    "companies": """
        domain Domain string text
        name Name string text
        website Website string text
        twitterhandle Twitter_handle string text
        facebookfans Facebook_fans number number
        createdate Create_date datetime date
        hs_lastmodifieddate Last_modified datetime date !
        hs_object_id Record_ID number number !
    """,
}
OPTIONS = {
    "lifecyclestage": ("subscriber", "lead", "marketingqualifiedlead", "opportunity", "customer", "1198230451"),
    "hs_lead_status": ("NEW", "OPEN", "IN_PROGRESS", "UNQUALIFIED", "CONNECTED"),
    "interests": ("drawings", "courses", "consulting", "templates"),
    "qualified_status": ("qualified", "not_qualified", "pending"),
    "trial_status": ("none", "active", "expired", "converted"),
    "payment_status": ("unpaid", "part_paid", "paid", "refunded"),
    "deal_currency_code": ("USD", "EUR", "RUB"),
    "hs_call_direction": ("INBOUND", "OUTBOUND"),
    "hs_call_status": ("BUSY", "CANCELED", "COMPLETED", "FAILED", "NO_ANSWER", "missed"),
    "hs_call_source": ("INTEGRATIONS_PLATFORM", "CRM_UI"),
    "hs_activity_type": ("Discovery call", "Follow-up"),
}
# What further properties are called and typed, in turn; a name of some 20 characters, as real ones.
MORE = (
    ("hs_analytics_src_note", "string", "text"), ("hs_email_last_open", "datetime", "date"),
    ("campaign_score_calc", "number", "calculation_equation"), ("survey_answer_choice", "enumeration", "select"),
    ("sync_source_was_ok", "bool", "booleancheckbox"), ("custom_free_text_fld", "string", "textarea"),
    ("renewal_expected_on", "date", "date"), ("lifetime_visits_no", "number", "number"),
)  # fmt: skip
ANSWERS = ("yes", "no", "later")
# System properties that lack createdAt and updatedAt on the wire.
UNDATED = frozenset({"hs_object_id", "hs_merged_object_ids", "hs_calculated_merged_vids", "hs_obj_coords"})


def definition(kind: str, name: str, type: str, field_type: str, label: str = "", **more: object) -> Record:
    """One definition as it is read; `more` overrides any of its keys."""
    calculated = bool(more.get("calculated"))
    values = ANSWERS if type == "enumeration" and name not in OPTIONS else OPTIONS.get(name, ())
    options: list[Record] = [_option(value, value, n) for n, value in enumerate(values)]
    if name == "hs_call_disposition":
        options = [_option(label, value, n) for n, (label, value) in enumerate(DISPOSITIONS.items())]
    if name == "hubspot_owner_id":
        more = {"referencedObjectType": "OWNER", "externalOptions": True, **more}
        options = []
    made: Record = {"createdAt": "2019-08-06T02:41:08.029Z", "updatedAt": "2024-11-06T15:38:12Z"}
    if name in UNDATED:
        made = {}
    return {
        **made,
        "name": name,
        "label": label or name.replace("_", " ").capitalize(),
        "type": type,
        "fieldType": field_type,
        "description": "",
        "groupName": f"{KINDS[kind].singular}information",
        "options": options,
        "displayOrder": -1,
        "calculated": False,
        "externalOptions": False,
        "hasUniqueValue": name == "email",
        "hidden": False,
        "hubspotDefined": True,
        "modificationMetadata": {"archivable": not calculated, "readOnlyDefinition": True, "readOnlyValue": calculated},
        "formField": not calculated,
        "dataSensitivity": "non_sensitive",
        **more,
    }


def _option(label: str, value: str, order: int) -> Record:
    return {"label": label, "value": value, "description": "", "displayOrder": order, "hidden": False}


def own(kind: str) -> dict[str, Record]:
    """HubSpot's and this company's own definitions of one object type."""
    made = {}
    for line in _OWN[kind].strip().splitlines():
        name, label, type, field_type, *marks = line.split()
        flags = "".join(marks)
        extra: Record = {"calculated": "!" in flags, "hidden": "?" in flags}
        if name.startswith(("vsl_", "qualified", "trial_", "payment_")):
            extra["hubspotDefined"] = False
        made[name] = definition(kind, name, type, field_type, label.replace("_", " "), **extra)
    return made


def wide(kind: str, count: int) -> dict[str, Record]:
    """The own definitions, and enough further ones to make `count`."""
    made = own(kind)
    for n in range(max(0, count - len(made))):
        stem, type, field_type = MORE[n % len(MORE)]
        name = f"{stem}_{n:03d}"
        made[name] = definition(kind, name, type, field_type, hubspotDefined=False)
    return made
