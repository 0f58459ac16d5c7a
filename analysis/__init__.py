"""Records in, numbers out: costs, scores, trend and checks. Imports no trainer."""
