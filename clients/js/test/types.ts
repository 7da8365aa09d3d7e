// Only checked, never run: what a map of event types promises, and what it refuses.
import { connect } from "../src/index.js";
import { useChannel } from "../src/react.js";

interface Order {
  id: number;
}
type Orders = { created: Order; removed: { id: number; by: string } };

const orders = connect<Orders>("/orders/live", { channels: ["orders"] });
orders.on("created", ({ data, type, id }) => {
  const number: number = data.id;
  const name: "created" = type;
  const position: string | undefined = id;
  console.log(number, name, position);
  // @ts-expect-error an order has no such field
  data.by;
});
// @ts-expect-error there is no such type of event
orders.on("creatd", () => {});
orders.onState(({ state }) => {
  // @ts-expect-error there is no such state
  if (state === "open") orders.close();
});
// @ts-expect-error there is no such transport
connect("/orders/live", { transport: "carrier pigeon" });
connect("/orders/live").on("anything", ({ data }) => data.whatever);
useChannel<Orders>("/orders/live").connection?.on("removed", ({ data }) => data.by);
