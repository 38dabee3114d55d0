// The console's own JavaScript: live sections, dialogs, keys, theme. Pages and forms work without it.
// Rules: no third-party code, no eval, no inline style: the Content-Security-Policy forbids them.
// The stream sends `sections` ({id: html}), each second `tick` ({key: age in words}), at last `over`.
'use strict';
const page = document, root = page.documentElement, LOST_MS = 4000, UNKNOWN_MS = 15000;
const policy = window.trustedTypes?.createPolicy('sms', {createHTML: (html) => html});
const $ = (selector, within = page) => within.querySelector(selector);
const $$ = (selector, within = page) => [...within.querySelectorAll(selector)];
const parsed = (html) => new DOMParser().parseFromString(policy ? policy.createHTML(html) : html, 'text/html').body;
const say = (text, where = '#polite') => { $(where).textContent = text; };
let ages = {}, heard = performance.now(), lost = false, over = false, shown = 0, takeOver = () => {};
root.classList.add('js');
if (localStorage.theme) root.dataset.theme = localStorage.theme;

function dress(within) { // times in the reader's zone, ages of the last tick
  for (const each of $$('[data-time]', within)) {
    const at = new Date(each.dataset.time), two = (number) => String(number).padStart(2, '0');
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}`, month = at.toLocaleString('en', {month: 'short'});
    const day = at.toDateString() === new Date().toDateString() ? '' : `${at.getDate()} ${month} `;
    each.textContent = {seconds: `${clock}:${two(at.getSeconds())}`, day: day + clock}[each.dataset.as] || clock;
    each.setAttribute('title', each.dataset.time.replace('T', ' ').replace('Z', ' UTC'));
  }
  for (const each of $$('[data-age]', within)) if (each.dataset.age in ages) each.textContent = ages[each.dataset.age];
  return within;
}
function morph(old, now) { // keeps the nodes, so that focus, selection and what is open stay
  if (old.nodeName !== now.nodeName) return old.replaceWith(now);
  if (old.nodeType !== 1) return void (old.data !== now.data && (old.data = now.data));
  for (const {name} of [...old.attributes]) if (!now.hasAttribute(name) && name !== 'open') old.removeAttribute(name);
  for (const {name, value} of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const kept = new Set([...now.children].map((each) => each.id));
  for (const each of [...old.children]) if (each.id && !kept.has(each.id)) each.remove();
  [...now.childNodes].forEach((next, at) => {
    const same = next.id && [...old.children].find((each) => each.id === next.id);
    if (same && same !== old.childNodes[at]) old.insertBefore(same, old.childNodes[at]);
    if (old.childNodes[at]) morph(old.childNodes[at], next); else old.append(next);
  });
  while (old.childNodes.length > now.childNodes.length) old.lastChild.remove();
}
function take(sections) {
  const before = new Set($$('#summary li').map((each) => each.textContent));
  for (const [id, html] of Object.entries(sections)) {
    const old = page.getElementById(id), now = dress(parsed(html)).firstElementChild;
    if (old && now) morph(old, now);
  }
  for (const each of $$('#summary li')) if (!before.has(each.textContent)) say(each.textContent, each.dataset.where);
  entitle();
}
function entitle() {
  const title = $('#summary')?.dataset.title;
  if (title) page.title = lost ? title.replace('%', '% ?') : title;
}
function watch() { // each second: does the console still talk to us?
  const silent = performance.now() - heard, gone = silent > LOST_MS;
  if (over || !(gone || lost)) return;
  if (gone !== lost) say(gone ? 'Console lost' : 'Live again', '#loud');
  if (gone && !lost) takeOver();
  lost = gone;
  root.dataset.lost = gone ? (silent > UNKNOWN_MS ? 'long' : 'yes') : '';
  $$(gone ? 'main [data-dialog]:enabled' : 'main [data-dialog][data-off]').forEach((each) => { each.disabled = each.toggleAttribute('data-off'); });
  $('#lost').textContent = gone ? `○ Console lost for ${Math.floor(silent / 1000)} s` : '';
  entitle();
}
function logout() { // the page stays, with what was typed
  if (over) return;
  over = true;
  root.dataset.over = '';
  for (const where of [$('#over'), $('#dialog')]) where.append(...parsed($('#ended').innerHTML).childNodes);
  $$('[data-ended]').forEach((each) => { each.textContent = new Date().toTimeString().slice(0, 5); });
  say($('#over').textContent, '#loud');
}
function hear(kind, data) {
  heard = performance.now();
  if (kind === 'over') logout();
  if (kind === 'tick') { ages = data; dress(page); }
  if (kind === 'sections') take(data);
  watch();
}
function stream(tell) { // returns what ends it
  const address = page.body.dataset.stream, asked = () => fetch(`${page.body.dataset.base}/session`);
  let source, ended = false;
  const again = () => setTimeout(open, 1000);
  function open() {
    if (ended) return;
    source = new EventSource(address);
    for (const kind of ['sections', 'tick', 'over']) source.addEventListener(kind, (event) => tell(kind, JSON.parse(event.data)));
    source.onerror = () => { // what is not 200 closes it for good; 401: the session is over
      if (source.readyState === EventSource.CLOSED) asked().then((answer) => (answer.status === 401 ? tell('over', null) : again()), again);
    };
  }
  open();
  return () => { ended = true; source.close(); };
}
function listen() { // one stream for all tabs of a browser: it allows six connections to a host
  if (!navigator.locks) { // then hidden tabs close theirs
    let close = page.hidden ? null : stream(hear);
    page.addEventListener('visibilitychange', () => { close?.(); close = page.hidden ? null : stream(hear); });
    return;
  }
  const name = `sms ${page.body.dataset.session}`, channel = new BroadcastChannel(name), latest = {};
  let close = null;
  const tell = (kind, data) => { if (kind === 'sections') Object.assign(latest, data); hear(kind, data); channel.postMessage({kind, data}); };
  const lead = (steal) => navigator.locks.request(name, {steal}, () => new Promise(() => { close = stream(tell); }))
    .catch(() => { close?.(); close = null; lead(false); }); // another tab took over
  channel.onmessage = ({data: {kind, data}}) => {
    if (kind !== 'hello') { if (!close) hear(kind, data); } else if (close) channel.postMessage({kind: 'sections', data: latest});
  };
  lead(false);
  channel.postMessage({kind: 'hello'});
  takeOver = () => { if (!close && !page.hidden) lead(true); }; // from a tab that the browser froze
}
function fill(html, keep) { // the dialog holds one fragment, which is one element
  const dialog = $('#dialog'), now = dress(parsed(html)).firstElementChild, old = dialog.firstElementChild;
  const draft = `draft ${dialog.dataset.from}`, typed = JSON.parse(sessionStorage[draft] || '{}');
  if (keep && old) morph(old, now); else dialog.replaceChildren(now);
  for (const [name, value] of Object.entries(typed)) for (const field of $$(`[name="${name}"]:not([type=hidden])`, dialog)) field.value = value;
  if (!keep) for (const each of $$('[data-guard]:enabled', dialog)) { each.disabled = true; setTimeout(() => { each.disabled = false; }, 500); }
  if (!dialog.open) dialog.showModal(); else if (!keep) ($('[autofocus]', dialog) || $('h2', dialog) || dialog).focus();
  const poll = $('[data-poll]', dialog)?.dataset.poll;
  if (!poll) return sessionStorage.removeItem('poll');
  sessionStorage.poll = poll; // a reload finds it again
  const turn = shown;
  setTimeout(() => turn === shown && bring(poll, {}, true), 300);
}
async function bring(address, options = {}, keep = false) { // fetches a fragment, again until the console answers
  const dialog = $('#dialog'), turn = ++shown;
  for (;; await new Promise((done) => { setTimeout(done, 1000); })) {
    if (turn !== shown) return;
    const answer = await fetch(address, {...options, headers: {'X-Fragment': '1'}}).catch(() => null);
    if (turn !== shown) return;
    if (answer?.status === 401) return logout();
    if (answer && answer.status < 500) {
      if (options.body) sessionStorage.removeItem(`draft ${dialog.dataset.from}`); else if (!keep) dialog.dataset.from = address;
      return fill(await answer.text(), keep);
    }
    if (!dialog.open) fill($('#away').innerHTML);
    say('The console does not answer. What you typed stays; it is tried again each second.', '#dialog [role=status]');
  }
}
function start() {
  const dialog = $('#dialog');
  let before = '';
  dress(page);
  entitle();
  $$('[data-zone]').forEach((each) => { each.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone; });
  if (!dialog) return;
  const does = {
    theme() {
      const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light', other = (root.dataset.theme || system) === 'dark' ? 'light' : 'dark';
      if (other === system) { delete root.dataset.theme; localStorage.removeItem('theme'); } else { root.dataset.theme = localStorage.theme = other; }
    },
    keys(button) { localStorage.keys = localStorage.keys === 'off' ? 'on' : 'off'; button.setAttribute('aria-pressed', localStorage.keys !== 'off'); },
    menu(button) { button.setAttribute('aria-expanded', page.body.classList.toggle('open')); },
    help() { shown++; fill($('#keys').innerHTML); },
    close() { dialog.close(); },
  };
  $('[data-do=keys]')?.setAttribute('aria-pressed', localStorage.keys !== 'off');
  page.addEventListener('click', (event) => {
    const button = event.target.closest('[data-do],[data-dialog]');
    if (!button) return;
    event.preventDefault();
    if (button.dataset.do) does[button.dataset.do](button); else if (!over) bring(button.dataset.dialog);
  });
  page.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || localStorage.keys === 'off' || dialog.open || event.target.closest('input,textarea,select')) return;
    const key = before === 'g' ? `g ${event.key}` : event.key, button = $$('[data-key]').find((each) => each.dataset.key === key && !each.disabled);
    before = event.key;
    if (button) { event.preventDefault(); button.click(); }
  });
  dialog.addEventListener('submit', (event) => {
    if (event.target.method !== 'post') return; // `dialog`: the browser closes it
    event.preventDefault();
    bring(event.target.action, {method: 'post', body: new URLSearchParams(new FormData(event.target, event.submitter))});
  });
  dialog.addEventListener('input', (event) => {
    const fields = [...new FormData(event.target.form)].filter(([name]) => $(`[name="${name}"]:not([type=hidden])`, event.target.form));
    sessionStorage[`draft ${dialog.dataset.from}`] = JSON.stringify(Object.fromEntries(fields));
  });
  dialog.addEventListener('close', () => { shown++; sessionStorage.removeItem('poll'); sessionStorage.removeItem(`draft ${dialog.dataset.from}`); });
  if (sessionStorage.poll) bring(sessionStorage.poll);
  if (!page.body.dataset.stream) return;
  listen();
  setInterval(watch, 1000);
}
page.addEventListener('DOMContentLoaded', start);
