"""Signal filters, entry rules, sizing, limits, protections, stop rules, and the decision."""
