// A stand-in: just what docs/guides/android.md uses of these classes, for the compiler.
package android.content

abstract class Context {
    abstract fun getSharedPreferences(name: String, mode: Int): SharedPreferences

    companion object {
        const val MODE_PRIVATE = 0
    }
}

interface SharedPreferences {
    fun getString(key: String, default: String?): String?
    fun edit(): Editor

    interface Editor {
        fun putString(key: String, value: String?): Editor
        fun apply()
    }
}

class Bundle {
    fun get(key: String): Any? = TODO()
}

class Intent {
    val extras: Bundle? get() = TODO()
    fun getStringExtra(name: String): String? = TODO()
}

class IntentFilter(val action: String)

abstract class BroadcastReceiver {
    abstract fun onReceive(context: Context, intent: Intent)
}
