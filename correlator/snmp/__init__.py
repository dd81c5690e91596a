"""Talking SNMP: who is asked, how gently, and what comes back as plain Python values."""
