/** Settings: what is chosen, at which level, and what is never written. */

import { equal, ok, refused, test } from "../harness.js";

test("settings: what is chosen syncs, and a default never does", async ({ unisono, url, token, replica }) => {
  const account = "settings-user";
  const options = { url, account, token: await token(account) };
  const desk = await unisono.Client.open({ name: replica(), ...options });
  equal((await desk.settings.get()).ui.theme, "system");
  equal(await desk.settings.update(await desk.settings.get()), null);
  equal(desk.status().pending, 0);
  ok(await desk.settings.update({ ui: { theme: "dark" } }));
  await desk.settings.at("device").update({ ui: { compact: true } });
  await desk.syncNow();
  equal((await desk.settings.get()).ui.compact, true);
  await desk.close();
  const laptop = await unisono.Client.open({ name: replica(), ...options });
  await laptop.syncNow();
  const { ui } = await laptop.settings.get();
  equal([ui.theme, ui.compact], ["dark", false]);
  equal([await laptop.settings.level("/ui/theme"), await laptop.settings.isOverridden("/ui/compact")], ["user", false]);
  equal([await laptop.settings.reset("/ui/theme"), await laptop.settings.reset("/ui/theme")], [true, false]);
  await laptop.close();
});

test("settings: a group has the app's defaults, and a watch tells each change", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica() });
  const editor = client.settingsGroup("editor", { zoom: 1, grid: { snap: true } });
  const watch = editor.watch();
  equal((await watch.next()).value, { zoom: 1, grid: { snap: true } });
  await editor.update({ grid: { snap: false } });
  equal((await watch.next()).value, { zoom: 1, grid: { snap: false } });
  await client.close();
  equal((await watch.next()).done, true);
});

test("settings: what does not fit is refused with its path", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica() });
  const wrong = { code: "settings_invalid", kind: "invalid", retryable: false };
  const patch = { cloud_sync: { interval_s: 4 }, ui: { theme: "pink" } };
  const { fields } = await refused(() => client.settings.update(patch), wrong);
  equal(fields, [
    { path: "/ui/theme", rule: "choice", allowed: "one of light, dark, system" },
    { path: "/cloud_sync/interval_s", rule: "range", allowed: "a whole number, 5 to 86400" },
  ]);
  await refused(() => client.profile.update({ email: "nobody" }), wrong);
  await refused(() => client.settings.at("nowhere"), { code: "invalid_config", kind: "invalid", retryable: false });
  equal(client.status().pending, 0);
  await client.close();
});

test("settings: a workspace gives its members what they have not chosen", async ({ unisono, url, token, replica }) => {
  const account = "settings-member";
  const options = { url, account, token: await token(account, "studio") };
  const client = await unisono.Client.open({ name: replica(), ...options });
  const studio = client.workspace("studio");
  const preferences = await studio.settings();
  ok(await preferences.at("workspace").update({ ui: { theme: "dark", compact: true } }));
  ok(await client.settings.update({ ui: { compact: false } }) === null, "the user's default holds already");
  equal([await preferences.level("/ui/theme"), (await preferences.get()).ui.theme], ["workspace", "dark"]);
  equal((await client.settings.get()).ui.theme, "system");
  const editor = await studio.settingsGroup("editor", { zoom: 1 });
  ok(await editor.at("workspace").update({ zoom: 2 }));
  equal([await editor.get(), await client.settingsGroup("editor", { zoom: 1 }).get()], [{ zoom: 2 }, { zoom: 1 }]);
  const profile = await studio.profile();
  ok(await profile.at("workspace").update({ bio: "the studio" }));
  equal([(await profile.get()).bio, (await client.profile.get()).bio], ["the studio", undefined]);
  await client.close();
});

test("settings: sync that the user has switched off goes on for settings", async ({ unisono, url, token, replica }) => {
  const account = "settings-off";
  const client = await unisono.Client.open({ name: replica(), url, account, token: await token(account) });
  await client.settings.update({ cloud_sync: { enabled: false } });
  await client.collection("samples").create("kick", {});
  await client.syncNow();
  equal([client.status().pending, client.status().withheld], [1, "sync_off"]);
  await client.settings.update({ cloud_sync: { enabled: true, wifi_only: true } });
  client.setMetered(true);
  await client.syncNow();
  equal(client.status().withheld, "metered_network");
  client.setMetered(false);
  await client.syncNow();
  equal([client.status().pending, client.status().withheld ?? null], [0, null]);
  await client.close();
});
