// CommonJS: asks an Express service by node:http, which asks a Fastify service by fetch, which logs with pino.
const http = require("node:http");
const express = require("express");
const fastify = require("fastify");
const pino = require("pino");

async function main() {
  const inner = fastify({ loggerInstance: pino() });
  inner.get("/answers/:id", async (request) => {
    request.log.info("answering");
    return { answer: 42 };
  });
  const innerUrl = await inner.listen({ port: 0, host: "127.0.0.1" });

  const app = express();
  const router = express.Router();
  router.get("/:id", async (request, response) => {
    console.log("asked");
    console.log(JSON.stringify({ level: "info" }));
    response.json(await (await fetch(`${innerUrl}/answers/${request.params.id}?key=secret`)).json());
  });
  app.use("/questions", router);
  const server = app.listen(0, "127.0.0.1", () => {
    console.log("listening");
    const { port } = server.address();
    http.get(`http://user:word@127.0.0.1:${port}/questions/7?key=secret`, (response) => {
      response.resume().on("end", async () => {
        server.close();
        await inner.close();
      });
    });
  });
}

main();
