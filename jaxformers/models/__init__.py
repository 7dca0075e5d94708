"""One file per architecture, named after its `model_type`, read top to bottom. Import the file that you need."""
