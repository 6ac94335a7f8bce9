// API keys and storage: what only the server has.

import Foundation
import Testing
import Unisono

@Test func aKeyOpensTheAccountUntilItIsOffRotatedOrGone() async throws {
    let stage = try Stage()
    let owner = try await stage.open("desk")
    let keys = owner.settings().apiKeys()
    let made = try await keys.create(
        key: NewApiKey(name: "Sampler", provider: .plugin, permissions: [.read, .write]))
    let id = made.key.keyId
    #expect(made.key.name == "Sampler" && made.key.permissions == [.read, .write] && made.key.isActive)
    let plugin = try await stage.open("plugin", token: made.secret.reveal())
    _ = try await plugin.collection(name: "samples").create(id: "kick", doc: #"{"bpm":120}"#)
    #expect(try await plugin.syncNow().pushed == 1)
    let denied = await failure { _ = try await plugin.settings().apiKeys().list() }
    #expect(denied?.code == "forbidden" && denied?.kind == .auth)

    #expect(try await keys.rename(keyId: id, name: "Old sampler").name == "Old sampler")
    #expect(try await keys.setActive(keyId: id, isActive: false).isActive == false)
    let off = await failure { _ = try await plugin.syncNow() }
    #expect(off?.code == "auth_required" && off?.kind == .auth)
    _ = try await keys.setActive(keyId: id, isActive: true)
    _ = try await plugin.syncNow()
    let rotated = try await keys.rotate(keyId: id, overlap: 3600)
    _ = try await plugin.syncNow()
    _ = try await keys.rotate(keyId: id, overlap: 0)
    #expect(await failure { _ = try await plugin.syncNow() }?.code == "auth_required")
    #expect(try await keys.list().map(\.name) == ["Old sampler"])
    try await keys.delete(keyId: id)
    #expect(try await keys.list().isEmpty)
    let gone = await failure { _ = try await keys.rename(keyId: id, name: "Sampler") }
    #expect(gone?.code == "api_key_not_found" && gone?.kind == .rejected && gone?.retryable == false)
    for issued in [made, rotated] {
        for shown in ["\(issued)", "\(issued.secret)", String(reflecting: issued), "\([issued])"] {
            #expect(shown.contains("[redacted]") && !shown.contains(issued.secret.reveal()))
        }
    }
    try await plugin.close()
    try await owner.close()
}

@Test func withoutANetworkKeysAreOfflineAndStorageIsAnEstimate() async throws {
    let stage = try Stage()
    let client = try await stage.open("desk")
    let samples = client.collection(name: "samples")
    _ = try await samples.create(id: "kick", doc: #"{"bpm":120}"#)
    _ = try await client.syncNow()
    let counted = try await client.settings().storage()
    #expect(counted.stats.collections == [CollectionStorage(collection: "samples", records: 1, bytes: 11)])
    #expect(!counted.isEstimate && counted.stats.storageUsed == 11)
    client.setOnline(online: false)
    let offline = await failure { _ = try await client.settings().apiKeys().list() }
    #expect(offline?.code == "offline" && offline?.kind == .offline && offline?.retryable == true)
    _ = try await samples.create(id: "snare", doc: #"{"bpm":120}"#)
    let estimate = try await client.settings().storage()
    #expect(estimate.isEstimate && estimate.stats.storageUsed == 22 && estimate.stats.storageQuota == nil)
    try await client.close()
}
