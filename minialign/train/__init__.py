"""Training loops: one explicit loop per shape of data."""
