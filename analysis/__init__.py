"""Functions from records to numbers: costs, scores, trend and checks. Imports no trainer."""
