"""The online feature store on LMDB."""
