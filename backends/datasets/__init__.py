"""Looking into datasets: profiles, validation, differences. What reads strangers' bytes here runs in the sandbox only."""
