"""What D and its rivals say of a trained S: scores, evidence of each case, tables and curves."""
