"""SNMP sessions behind one Protocol: gufo-snmp, and pysnmp where gufo-snmp has no build. Reading only: no SET."""
