"""What the gateway can do. Each flow composes calls to the services; it knows no contract and no HTTP."""
