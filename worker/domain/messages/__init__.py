"""The life of a message: its record, its states and outcomes, and the consent of recipients."""
