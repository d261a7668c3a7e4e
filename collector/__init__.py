"""The service company's side: takes blocks, keeps them, evaluates rules, opens tickets, tells people."""
