package dev.unisono

import dev.unisono.model.CollectionStorage
import dev.unisono.model.ErrorKind
import dev.unisono.model.KeyPermission
import dev.unisono.model.KeyProvider
import dev.unisono.model.NewApiKey
import dev.unisono.model.UnisonoException
import java.time.Duration
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlinx.coroutines.runBlocking

/** API keys and storage: what only the server has. */
class ApiKeysTest : StageTest() {
    private val readWrite = listOf(KeyPermission.READ, KeyPermission.WRITE)

    private suspend fun refused(code: String, kind: ErrorKind, retryable: Boolean, call: suspend () -> Unit) {
        val error = assertFailsWith<UnisonoException.Failed> { call() }
        assertEquals(Triple(code, kind, retryable), Triple(error.code, error.kind, error.retryable), error.detail)
    }

    @Test
    fun `a key opens the account until it is off, rotated or gone`() = runBlocking {
        val owner = open("desk")
        val keys = owner.settings().apiKeys()
        val made = keys.create(NewApiKey("Sampler", KeyProvider.PLUGIN, readWrite))
        val id = made.key.keyId
        assertEquals(Triple("Sampler", readWrite, true), Triple(made.key.name, made.key.permissions, made.key.isActive))
        val plugin = open("plugin", token = made.secret.reveal())
        plugin.collection("samples").create("kick", """{"bpm":120}""")
        assertEquals(1uL, plugin.syncNow().pushed)
        refused("forbidden", ErrorKind.AUTH, false) { plugin.settings().apiKeys().list() }

        assertEquals("Old sampler", keys.rename(id, "Old sampler").name)
        assertFalse(keys.setActive(id, false).isActive)
        refused("auth_required", ErrorKind.AUTH, false) { plugin.syncNow() }
        keys.setActive(id, true)
        plugin.syncNow()
        val rotated = keys.rotate(id, Duration.ofHours(1))
        plugin.syncNow()
        keys.rotate(id, Duration.ZERO)
        refused("auth_required", ErrorKind.AUTH, false) { plugin.syncNow() }
        assertEquals(listOf(id to "Old sampler"), keys.list().map { it.keyId to it.name })
        keys.delete(id)
        assertEquals(0, keys.list().size)
        refused("api_key_not_found", ErrorKind.REJECTED, false) { keys.rename(id, "Sampler") }
        for (issued in listOf(made, rotated)) {
            for (shown in listOf("$issued", "${issued.secret}", "${listOf(issued)}")) {
                assertTrue("[redacted]" in shown && issued.secret.reveal() !in shown, shown)
            }
        }
        plugin.shutdown()
        owner.shutdown()
    }

    @Test
    fun `without a network keys are offline, and storage is an estimate`() = runBlocking {
        val client = open("desk")
        client.collection("samples").create("kick", """{"bpm":120}""")
        client.syncNow()
        val counted = client.settings().storage()
        assertEquals(listOf(CollectionStorage("samples", 1uL, 11uL)), counted.stats.collections)
        assertEquals(Pair(false, 11uL), Pair(counted.isEstimate, counted.stats.storageUsed))
        server.stop()
        refused("offline", ErrorKind.OFFLINE, true) { client.settings().apiKeys().list() }
        refused("offline", ErrorKind.OFFLINE, true) { client.settings().apiKeys().rotate("k", Duration.ZERO) }
        client.collection("samples").create("snare", """{"bpm":120}""")
        val estimate = client.settings().storage()
        assertEquals(Pair(true, 22uL), Pair(estimate.isEstimate, estimate.stats.storageUsed))
        assertNull(estimate.stats.storageQuota)
        client.shutdown()
    }
}
