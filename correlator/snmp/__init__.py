"""Speaking SNMP."""
