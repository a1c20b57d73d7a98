"""The console: what people see and press in a browser."""
