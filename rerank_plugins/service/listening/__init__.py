"""What happens before the application sees a request: sockets, connections, and their deadlines."""
