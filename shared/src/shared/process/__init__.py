"""What every process needs: settings, logs, waiting for its servers, health checks, metrics and an HTTP server."""
