"""The domain's ports on real components: SQL, LMDB, Parquet, ONNX Runtime …"""
