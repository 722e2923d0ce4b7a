"""Events on Kafka, or on whatever speaks its protocol."""
