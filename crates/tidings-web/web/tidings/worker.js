// The SharedWorker of all tabs that follow jobs of one server. Its name is the server's address.

import { Hub } from "./hub.js";

const hub = new Hub(new URL(self.name));
self.onconnect = ({ ports: [port] }) => hub.attach(port);
