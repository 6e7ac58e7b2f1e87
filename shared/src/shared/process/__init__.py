"""What every process has: settings, logs, a wait for its servers, health, metrics, and the HTTP server it runs."""
