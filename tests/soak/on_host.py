"""What runs on the hosts of the lab: backends that say who they are, clients that ask, and watchers. Without our code.

`backend NAME FIRST COUNT` greets with NAME:PORT on each of these ports, and echoes. `ask PORT` connects to all
addresses of a line at once, and prints their greetings, or `-`, in the same order. `watch ADDRESS PORT COUNT` keeps
connections open, says something on each five times a second, and prints a line when one breaks or is silent for too
long; at the end of its input it prints how many echoes came.
"""

import asyncio
import sys

SAY_SECONDS, SILENCE_SECONDS, ASK_SECONDS = 0.2, 30.0, 2.0


async def backend(name: str, first: int, count: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            port = writer.get_extra_info("sockname")[1]
            writer.write(f"{name}:{port}\n".encode())
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    for port in range(first, first + count):
        await asyncio.start_server(serve, "", port)
    print("ready", flush=True)
    await asyncio.Event().wait()


async def ask(port: str) -> None:
    async def greeting(address: str) -> str:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                reader, writer = await asyncio.open_connection(address, int(port))
                line = await reader.readline()
                writer.close()
                return line.decode().strip() or "-"
        except OSError:
            return "-"

    for line in sys.stdin:
        print(*await asyncio.gather(*map(greeting, line.split())), flush=True)


async def watch(address: str, port: int, count: int) -> None:
    echoes = 0

    async def keep(number: int) -> None:
        nonlocal echoes
        try:
            reader, writer = await asyncio.open_connection(address, port)
            await reader.readline()
            while True:
                writer.write(b"still here\n")
                async with asyncio.timeout(SILENCE_SECONDS):
                    if await reader.readline() != b"still here\n":
                        raise OSError("it was closed")
                echoes += 1
                await asyncio.sleep(SAY_SECONDS)
        except OSError as error:
            print(f"broken: connection {number} after {echoes} echoes: {error or type(error).__name__}", flush=True)

    keeping = [asyncio.create_task(keep(number)) for number in range(count)]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(f"echoes {echoes}", flush=True)
    for task in keeping:
        task.cancel()


async def main() -> None:
    what, *words = sys.argv[1:]
    if what == "backend":
        await backend(words[0], int(words[1]), int(words[2]))
    elif what == "ask":
        await ask(words[0])
    else:
        await watch(words[0], int(words[1]), int(words[2]))


asyncio.run(main())
