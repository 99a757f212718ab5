"""The systems that the product knows. One more system is one more folder and one more name here."""

from sync_assets.systems.bitrix import BITRIX
from sync_assets.systems.hubspot import HUBSPOT
from sync_assets.systems.kaiten import KAITEN
from sync_assets.systems.kommo import KOMMO
from sync_assets.systems.worksection import WORKSECTION

SYSTEMS = (KAITEN, WORKSECTION, HUBSPOT, KOMMO, BITRIX)
