// The driver against real browsers and a page of its own, as the Rust tests use it: a child process, lines in, lines out.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';

const PAGE = `<!doctype html><body data-state="idle">
<input data-testid="name"><button data-testid="go" onclick="setTimeout(() => document.body.dataset.state = 'up', 50)">Go</button>
<p data-testid="said" hidden>old</p><p data-testid="said">new</p></body>`;

let server;
let url;

before(async () => {
  server = createServer((_, response) => response.setHeader('content-type', 'text/html').end(PAGE)).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.on('listening', resolve));
  url = `http://127.0.0.1:${server.address().port}/`;
});

after(() => server.close());

for (const browser of ['chromium', 'firefox']) {
  describe(browser, () => drives(browser));
}

function drives(browser) {
  let child;
  const waiting = new Map();
  let serial = 0;

  before(async () => {
    const driver = new URL('driver.mjs', import.meta.url).pathname;
    child = spawn(process.execPath, [driver, browser], { stdio: ['pipe', 'pipe', 'inherit'] });
    const ready = new Promise((resolve) => waiting.set(0, resolve));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const message = JSON.parse(line);
      waiting.get(message.id)?.(message);
      waiting.delete(message.id);
    });
    assert.match((await ready).value.browser, /^\d+\./);
  });

  function ask(command) {
    serial += 1;
    const id = serial;
    return new Promise((resolve) => {
      waiting.set(id, resolve);
      child.stdin.write(`${JSON.stringify({ id, ...command })}\n`);
    });
  }

  test('a page is opened, filled, clicked and read by test id', async () => {
    assert.equal((await ask({ do: 'open', page: 'a', url })).value, url);
    assert.ok((await ask({ do: 'fill', page: 'a', target: 'name', value: 'bob' })).ok);
    assert.equal((await ask({ do: 'eval', page: 'a', expression: 'document.querySelector("input").value' })).value, 'bob');
    assert.equal((await ask({ do: 'text', page: 'a', target: 'said' })).value, 'new');
    assert.deepEqual((await ask({ do: 'visible', page: 'a', target: 'name' })).value, true);
  });

  test('waitState answers when the state comes, with all the data of the element', async () => {
    const waited = ask({ do: 'waitState', page: 'a', state: 'idle' });
    assert.deepEqual((await waited).value, { state: 'idle' });
    void ask({ do: 'click', page: 'a', target: 'go' });
    assert.deepEqual((await ask({ do: 'waitState', page: 'a', state: ['up', 'held'] })).value, { state: 'up' });
  });

  test('what goes wrong is an answer that says what', async () => {
    const late = await ask({ do: 'waitState', page: 'a', state: 'ended', timeout: 100 });
    assert.match(late.error, /data-state of body is "up" after 100 ms, not "ended"/);
    assert.match((await ask({ do: 'text', page: 'b', target: 'x' })).error, /no page "b"/);
    assert.match((await ask({ do: 'dance' })).error, /unknown command "dance"/);
  });

  test('the program ends, and its browser with it, when stdin closes', async () => {
    const ended = new Promise((resolve) => child.on('exit', resolve));
    child.stdin.end();
    assert.equal(await ended, 0);
  });
}
