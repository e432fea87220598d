"""How far figures can be trusted: intervals over pieces and groups, for every table."""
