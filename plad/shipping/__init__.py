"""What leaves a run: exported models and the check of them, servers, the model card, and a talk with them."""
