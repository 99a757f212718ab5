"""HubSpot: contacts, deals and calls. The company's records, and the API over them."""
