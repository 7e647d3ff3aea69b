"""What all adapters share. Nothing here imports a framework, or torch."""
