"""How the plan is shown, written and fed from history."""
