-- The paper venue keeps its own books, apart from our ledger, so that reconciliation compares two truths.
CREATE DATABASE paper;
